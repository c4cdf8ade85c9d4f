"""Has what a model is used on drifted from what it was tested on?"""
