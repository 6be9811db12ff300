"""Your own nn.Module on your own data: no base class, no configuration."""

import sys

import torch
from torch import nn

import fathom

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
run = fathom.fit(net, sys.argv[1], optimizer=torch.optim.AdamW(net.parameters(), 3e-4), steps=200)
run = fathom.resume(run.folder, net)  # after kill -9: the same bits
print(run.metrics)
