import cv2
import numpy as np
import pytest

from fer_core.scoring.video import VideoReader, is_video, times_in

RATE = 10


@pytest.fixture
def video(tmp_path):
    """Two and a half seconds, each frame brighter than the one before."""
    file = tmp_path / "talk.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (64, 48))
    for at in range(25):
        writer.write(np.full((48, 64, 3), 10 * at, np.uint8))
    writer.release()
    return file


def test_times_are_so_many_seconds_apart(video):
    assert times_in(video, 1.0) == [0.0, 1.0, 2.0]
    assert times_in(video, 0.25) == pytest.approx([0.2 * at for at in range(13)])  # of ten frames a second
    assert len(times_in(video, 0.01)) == 25


def test_frames_are_read_at_their_times_forwards_and_back(video, tmp_path):
    reader, other = VideoReader(), tmp_path / "other.avi"
    other.write_bytes(video.read_bytes())
    for file, seconds, value in [
        (video, 0, 0),
        (video, 1.2, 120),
        (video, 2.4, 240),
        (video, 0.5, 50),
        (other, 1, 100),
    ]:
        frame = reader.frame(file, seconds)
        assert (frame.shape, frame.dtype) == ((48, 64, 3), np.uint8)
        np.testing.assert_allclose(frame, value, atol=4)  # of the codec
    assert reader.frame(video, 2.6) is None


def test_what_is_no_video_has_no_frames(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    assert times_in(tmp_path / "text.mp4", 1.0) == []
    assert VideoReader().frame(tmp_path / "text.mp4", 0.0) is None
    assert is_video(tmp_path / "A.MP4")
    assert not is_video(tmp_path / "a.png")
