"""True recordings in the formats of dialers. Another seed is other content, and another checksum;
the same seed is the same content."""

import hashlib
import math
import random
import shutil
import struct
import subprocess
import tempfile
from array import array
from pathlib import Path

RATE = 8000

# kind: (extension, arguments of the encoder). sox where it knows the format, else ffmpeg.
_SOX = {
    "wav-gsm": ("wav", ["-e", "gsm-full-rate"]),
    "wav-ulaw": ("wav", ["-e", "u-law", "-b", "8"]),
    "au": ("au", []),
    "gsm": ("gsm", []),
    "flac": ("flac", []),
    "ulaw": ("ul", ["-t", "ul"]),
}
_FFMPEG = {
    "mp3": ("mp3", ["-c:a", "libmp3lame", "-b:a", "16k"]),
    "ogg": ("ogg", ["-c:a", "libvorbis", "-ar", "16000"]),
    "opus": ("opus", ["-c:a", "libopus", "-b:a", "16k"]),
    "mp4": ("mp4", ["-c:a", "aac"]),
    "m4a": ("m4a", ["-c:a", "aac"]),
    "mov": ("mov", ["-c:a", "aac"]),
    "3gp": ("3gp", ["-c:a", "aac"]),
    "webm": ("webm", ["-c:a", "libopus", "-b:a", "16k"]),
    "mkv": ("mkv", ["-c:a", "libvorbis", "-ar", "16000"]),
    "avi": ("avi", ["-c:a", "pcm_s16le"]),
    "flv": ("flv", ["-c:a", "libmp3lame", "-ar", "22050"]),
    "wma": ("wma", ["-c:a", "wmav2"]),
}

#: Kinds that Chorus takes, and kinds that it does not.
TAKEN = ["wav", "wav-gsm", "wav-ulaw", "au", "mp3", "ogg", "opus", "mp4", "m4a", "mov", "3gp",
         "webm", "mkv", "avi", "flv"]
REFUSED = ["gsm", "flac", "ulaw", "wma"]


def extension(kind):
    """The file name's extension of a kind, without the dot."""
    return (_SOX.get(kind) or _FFMPEG.get(kind) or ("wav",))[0]


def samples(seed, seconds, rate=RATE, channels=1):
    """Two tones and some noise, 16 bit, as array('h')."""
    draw = random.Random(f"recording {seed}")
    low, high = draw.uniform(200, 900), draw.uniform(900, 2000)
    count = max(1, int(seconds * rate))
    noise = draw.randbytes(count)
    frames = array("h")
    for i in range(count):
        at = 2 * math.pi * i / rate
        value = int(6000 * math.sin(low * at) + 3000 * math.sin(high * at) + 8 * (noise[i] - 128))
        frames.extend([value] * channels)
    return frames


def _noise(seed, size):
    """Random samples: as distinct as tones, and made at once."""
    return random.Random(f"recording {seed}").randbytes(size)


def wav_bytes(pcm, rate=RATE, channels=1):
    """A whole WAV file around 16-bit samples."""
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1,
                       channels, rate, rate * channels * 2, channels * 2, 16, b"data", len(pcm))
    return head + pcm


def wav(path, seed, seconds=1.0, rate=RATE, channels=1):
    """A WAV file of 16 bit; returns its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = samples(seed, seconds, rate, channels).tobytes()
    path.write_bytes(wav_bytes(pcm, rate, channels))
    return path


def make(path, kind="wav", seed=0, seconds=1.0):
    """A recording of a kind (see TAKEN and REFUSED); returns its path."""
    path = Path(path)
    if kind == "wav":
        return wav(path, seed, seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        plain = wav(Path(room) / "plain.wav", seed, seconds)
        coded = Path(room) / f"coded.{extension(kind)}"
        if kind in _SOX:
            command = ["sox", "-D", "-V1", str(plain), *_SOX[kind][1], str(coded)]
        else:
            command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(plain),
                       *_FFMPEG[kind][1], "-map_metadata", "-1", "-flags", "+bitexact",
                       "-fflags", "+bitexact", str(coded)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        shutil.move(str(coded), path)
    return path


def many(folder, count, seconds=0.1, name="call-{:05d}.wav", first=0):
    """Hundreds of short WAV files, each with content of its own; returns their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(first, first + count):
        path = folder / name.format(i)
        path.write_bytes(wav_bytes(_noise(i, 2 * int(seconds * RATE))))
        paths.append(path)
    return paths


def sized(path, size, seed=0):
    """A WAV file of exactly `size` bytes (even, 46 at least), for what depends on the size."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_bytes(_noise(seed, size - 44)))
    return path


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
