"""Encoded pictures: which may be decoded, decoding them, and small ones in a page."""

import base64
import io

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 50_000_000
"""A picture beyond this is not decoded: it would take gigabytes, and no face set has one."""
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
TOO_LARGE = "picture is too large"
NOT_A_PICTURE = f"not a {', '.join(FORMATS)} picture"
SHOWN_SIDE, SHOWN_QUALITY = 112, 85
"""Pixels a side, at most, and JPEG quality of a face in a page."""


def opened(data: bytes) -> np.ndarray | tuple[str, str]:
    """A picture as `decode` gives it, or (reason, detail) why it cannot be read or may not be."""
    problem = picture_problem(data)
    if problem is not None:
        return problem
    image = decode(data)
    return ("damaged or truncated picture", "") if image is None else image


def picture_problem(data: bytes) -> tuple[str, str] | None:
    """(reason, detail) why bytes are not a picture that may be decoded, or None. Looks at the header alone."""
    if not data:
        return "empty file", ""
    try:
        header = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        return TOO_LARGE, str(error)
    except UnidentifiedImageError:  # its text holds an address, and what is set aside is to be the same every time
        return NOT_A_PICTURE, ""
    except (OSError, ValueError, SyntaxError) as error:
        return NOT_A_PICTURE, str(error)
    if header.width * header.height > MAX_PIXELS:
        return TOO_LARGE, f"{header.width} x {header.height}, at most {MAX_PIXELS} pixels"
    return None


def decode(data: bytes) -> np.ndarray | None:
    """Decode to uint8 (H, W) grey or (H, W, 3) RGB, as stored; None where the bytes are damaged or cut short."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        return None
    if image is None or image.ndim not in (2, 3):
        return None
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def in_colour(image: np.ndarray) -> np.ndarray:
    """A picture as RGB: grey (H, W) three times, (H, W, 3) as it is."""
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


def small_picture(image: np.ndarray) -> str:
    """A face, uint8 (H, W, 3) RGB, as the source of an image in a page: a JPEG of at most SHOWN_SIDE pixels a side."""
    scale = SHOWN_SIDE / max(image.shape[:2])
    shown = image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, SHOWN_QUALITY]
    made, data = cv2.imencode(".jpg", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), quality)
    assert made
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
