"""From a picture to a face crop: key points -> placement of the face -> one warp."""
