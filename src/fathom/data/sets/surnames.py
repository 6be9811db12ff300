"""Surnames from 18 languages."""

from dataclasses import dataclass

from fathom.data import places
from fathom.data.places import DataSet

SET = DataSet(
    name="surnames",
    title="Surnames from 18 languages",
    tasks=("character-level text classification", "name generation"),
    licence="MIT",
    redistributable=True,
    citation="S. Robertson: Practical PyTorch, 2017",
    home=("https://pytorch.org/tutorials/intermediate/char_rnn_classification_tutorial.html"),
    address=(
        (
            "https://raw.githubusercontent.com/spro/practical-"
            "pytorch/c520c52e68e945d88fff563dba1c028b6ec0197b/data/names/{file}"
        ),
    ),
    files={
        "Arabic.txt": ("6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc", 13190),
        "Chinese.txt": ("09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465", 1246),
        "Czech.txt": ("e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7", 3916),
        "Dutch.txt": ("924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3", 2351),
        "English.txt": ("9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2", 27125),
        "French.txt": ("81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95", 2178),
        "German.txt": ("7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db", 5610),
        "Greek.txt": ("3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6", 1981),
        "Irish.txt": ("cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058", 1858),
        "Italian.txt": ("f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4", 5657),
        "Japanese.txt": ("e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f", 7622),
        "Korean.txt": ("cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136", 423),
        "Polish.txt": ("45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826", 1165),
        "Portuguese.txt": ("50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53", 554),
        "Russian.txt": ("0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c", 85168),
        "Scottish.txt": ("78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd", 752),
        "Spanish.txt": ("1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7", 2284),
        "Vietnamese.txt": ("f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d", 339),
    },
    counts={
        "languages": 18,
        "lines": 20050,
        "per_language": {
            "Arabic": 2000,
            "Chinese": 268,
            "Czech": 519,
            "Dutch": 297,
            "English": 3668,
            "French": 277,
            "German": 724,
            "Greek": 203,
            "Irish": 232,
            "Italian": 709,
            "Japanese": 991,
            "Korean": 94,
            "Polish": 139,
            "Portuguese": 74,
            "Russian": 9384,
            "Scottish": 100,
            "Spanish": 298,
            "Vietnamese": 73,
        },
    },
    notes=(
        "Unchanged UTF-8 files, one name a line. Very unbalanced; some names repeat within a "
        "file and across languages."
    ),
)


@dataclass(frozen=True)
class Names:
    """Surnames, and the number of the language of each."""

    names: tuple[str, ...]
    languages: tuple[int, ...]
    labels: tuple[str, ...]


def read() -> Names:
    """20,050 names of 18 languages, half of them Russian."""
    folder = places.find(SET)
    labels = tuple(sorted(name.removesuffix(".txt") for name in SET.files))
    found: list[tuple[str, int]] = []
    for number, label in enumerate(labels):
        lines = (folder / f"{label}.txt").read_text(encoding="utf-8").splitlines()
        found += [(line.strip(), number) for line in lines if line.strip()]
    return Names(tuple(n for n, _ in found), tuple(i for _, i in found), labels)
