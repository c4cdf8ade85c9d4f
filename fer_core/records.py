"""The record every stage passes on: one sample is one row with this Parquet schema."""

import hashlib

import pyarrow as pa

SAMPLE_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),  # hash of the picture's content and its key in the source
        ("dataset", pa.string()),
        ("split", pa.string()),  # train / valid / test where the data set prescribes one, else null
        ("subject_id", pa.string()),
        ("subject_by", pa.string()),  # null: the data set names the subject; else how it was estimated
        ("sequence_id", pa.string()),
        ("expression", pa.string()),  # a name of vocabulary.LABELS
        ("expression_votes", pa.list_(pa.float32())),  # FER+: votes in the order of EIGHT
        ("intensity", pa.float32()),  # 0..1
        ("action_units", pa.map_(pa.int16(), pa.float32())),  # FACS unit -> 0 absent, else intensity (1 where ungraded)
        ("pose_yaw", pa.float32()),  # degrees, positive to the viewer's right
        ("pose_bin", pa.int32()),  # the data set's own view, or the nearest multiple of 45 degrees
        ("pose_by", pa.string()),  # null: the data set says the pose; else how it was estimated
        ("landmarks", pa.list_(pa.float32())),  # x0, y0, z0, x1, ... in pixels of `image`
        ("landmarks_3d", pa.list_(pa.float32())),  # x0, y0, z0, x1, ... as measured on the head, the data set's unit
        ("face_box", pa.list_(pa.float32())),  # x0, y0, x1, y1 in pixels of `image`, as annotated
        ("is_face_crop", pa.bool_()),  # the whole frame is the face
        ("crop_by", pa.string()),  # what a face crop was made by; null in a catalog
        ("rotation", pa.float32()),  # degrees added offline; 0 = as taken
        ("image", pa.binary()),  # encoded PNG or JPEG
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("source_path", pa.string()),  # relative to the source folder
        ("source_sha256", pa.string()),
        ("expression_original", pa.string()),  # null: not corrected; else what the data set says, `none` where nothing
    ]
)
"""Unknown is null, never a made-up value."""

SET_ASIDE_SCHEMA = pa.schema([("source_path", pa.string()), ("reason", pa.string()), ("detail", pa.string())])
"""A record that was not taken: `reason` is one of a few fixed phrases (they are counted), `detail` is free."""


def sample_id(content_sha256: str, source_path: str) -> str:
    """The id of a sample: 16 hex digits of sha256(content hash, source key)."""
    return hashlib.sha256(f"{content_sha256}\0{source_path}".encode()).hexdigest()[:16]
