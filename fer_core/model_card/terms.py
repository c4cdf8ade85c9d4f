"""On what terms each data set is given out, as its makers say: in a few words, for the model card.

Terms change and a model is bound by those that its user agreed to, so the card sends its reader to the makers' own.
"""

TERMS = {
    "ck_plus": "research only, by a signed agreement; pictures may be printed only of subjects who allowed it",
    "ferplus": "the labels are free (MIT); the pictures are FER2013's, of people who were not asked",
    "affectnet": "non-commercial research only, by a signed agreement",
    "jaffe": "non-commercial research only",
    "bu3dfe": "research only, by a signed agreement",
    "bp4d": "research only, by a signed agreement",
    "mmi": "research only, by a signed agreement",
    "sfew": "non-commercial research only, by a signed agreement",
    "raf_db": "non-commercial research only, by request",
    "kdef": "non-commercial research only",
    "multi_pie": "research only, by a licence that is bought",
    "lfw": "no licence is given; research only, of people who were not asked",
    "celeba": "non-commercial research only, of people who were not asked",
    "synthetic": "drawn by this program: no person is on the pictures, and no licence is needed",
}
"""By the name of the data set; a data set that is not here is one's own."""
