"""The common expression vocabulary. Every data set's labels are mapped onto these names."""

EIGHT = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
"""In FER+'s order, which is that of `expression_votes`."""

EXPRESSIONS = (*EIGHT, "squint", "scream")
"""The last two are Multi-PIE's. A model's classes are those of its training part, kept in this order."""

VALENCES = ("positive", "negative")
"""What people were asked of BP4D's frames (landmark VAE), which shows no posed expression."""

LABELS = (*EXPRESSIONS, *VALENCES)
"""All that a picture can be labelled with."""
