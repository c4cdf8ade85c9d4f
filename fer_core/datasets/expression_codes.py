"""Codes of expressions that several data sets have in their file names."""

EXPRESSION_OF_CODE = {
    "NE": "neutral",
    "HA": "happiness",
    "SU": "surprise",
    "SA": "sadness",
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
}
"""Of JAFFE and BU-3DFE; KDEF has AF (afraid) for FE."""
