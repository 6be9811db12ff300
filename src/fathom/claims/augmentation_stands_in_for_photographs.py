"""Five hundred photographs a class, twenty times over: as they are, or flipped and shifted anew each time.

A net of eight layers has room for five thousand photographs by heart, and then nothing more to learn from
them. A mirrored horse two pixels to the left is a horse, which is what the net should know anyway; it is also
a picture that it has not seen. Training accuracy falls, accuracy on held-out photographs rises.

Source: Krizhevsky, Sutskever and Hinton (2012), section 4.1; Shorten and Khoshgoftaar (2019),
https://doi.org/10.1186/s40537-019-0197-0.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Where photographs are few, flips and shifts raise accuracy on held-out ones by three points.",
    rows=("RN04",),
    expect=("valid/accuracy: augmented - plain >= 0.03",),
    source="Krizhevsky, Sutskever and Hinton 2012, section 4.1",
    builds_on=("geometry", "cifar_resnet"),
    arms={"plain": ("cifar10_few", "augment=()"), "augmented": ("cifar10_few",)},
    seeds=3,
    differs=("Eight layers at 16x16 pixels on a tenth of CIFAR-10 (JPEG-compressed), twenty epochs.",),
)
