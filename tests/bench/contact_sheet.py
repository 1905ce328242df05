"""A contact sheet of a programme: frames at even distances, each with its time.

python tests/bench/contact_sheet.py VIDEO OUT.png [--frames 9] [--columns 3] [--width 1280]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

GAP_PX = 6
BACKGROUND = (18, 18, 20)


def frames_at(video: Path, num_frames: int) -> Iterator[tuple[float, Image.Image]]:
    """(seconds, picture) in the middle of each of `num_frames` equal parts of the video."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        if container.duration is None or stream.time_base is None:
            raise SystemExit(f"{video}: it does not say how long it is.")
        total = container.duration / av.time_base
        for index in range(num_frames):
            wanted = total * (index + 0.5) / num_frames
            container.seek(int(wanted / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if frame.time is not None and frame.time + 0.5 / float(stream.average_rate or 25) >= wanted:
                    yield frame.time, frame.to_image()
                    break


def stamped(picture: Image.Image, seconds: float, width: int) -> Image.Image:
    """The picture `width` px wide, with its time in the lower right corner."""
    small = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    words = f"{int(seconds) // 60}:{seconds % 60:04.1f}"
    draw, font = ImageDraw.Draw(small, "RGBA"), ImageFont.load_default(max(11, width // 30))
    left, top, right, bottom = draw.textbbox((small.width - 10, small.height - 8), words, font, anchor="rs")
    draw.rounded_rectangle((left - 5, top - 4, right + 5, bottom + 4), 4, fill=(0, 0, 0, 150))
    draw.text((small.width - 10, small.height - 8), words, (255, 255, 255), font, anchor="rs")
    return small


def contact_sheet(video: Path, *, num_frames: int, columns: int, width: int) -> Image.Image:
    """All frames in rows of `columns`, the sheet `width` px wide."""
    each = (width - GAP_PX * (columns + 1)) // columns
    cells = [stamped(picture, seconds, each) for seconds, picture in frames_at(video, num_frames)]
    if not cells:
        raise SystemExit(f"{video}: no frame could be read.")
    high, rows = cells[0].height, -(-len(cells) // columns)
    sheet = Image.new("RGB", (width, GAP_PX + rows * (high + GAP_PX)), BACKGROUND)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        sheet.paste(cell, (GAP_PX + column * (each + GAP_PX), GAP_PX + row * (high + GAP_PX)))
    return sheet


def main() -> None:
    """Writes the sheet that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--width", type=int, default=1280, help="of the sheet, in px")
    asked = parser.parse_args()
    sheet = contact_sheet(asked.video, num_frames=asked.frames, columns=asked.columns, width=asked.width)
    sheet.save(asked.out, optimize=True)


if __name__ == "__main__":
    main()
