"""The common expression vocabulary. Every data set's labels are mapped onto these names."""

EXPRESSIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
"""In FER+'s order. A model's classes are the ones present in its training part, kept in this order."""
