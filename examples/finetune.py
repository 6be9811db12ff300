"""Fine-tune weights you have on a folder of pictures, a folder for each class."""

import sys

import fathom
from fathom.architectures.convolutional import lenet

weights, pictures = sys.argv[1:3]
model = lenet.lenet5(weights=weights, classes=4)  # a new head where the number of classes differs
run = fathom.fit(model, pictures, time="30s")
print(run.metrics, run.load_report)
print(run.predict(sys.argv[3]))
