"""Fine-tune weights you have on a folder of pictures, a folder for each class."""

import sys

import fathom
from fathom.architectures.convolutional import resnet

weights, pictures, picture = sys.argv[1:4]
model = resnet.resnet18(weights=weights, classes=4)  # torchvision's or timm's file, known by its keys
run = fathom.fit(model, pictures, time="30s")  # what moves, from when on, how fast: chosen, and said
print(run.metrics, run.load_report)
print(run.predict(picture))
