"""One architecture in your own loop: plain torch, no engine imported."""

import torch

from fathom.architectures.convolutional import lenet

net = lenet.lenet5(classes=10)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(20):
    x, y = torch.rand(32, 1, 28, 28), torch.randint(10, (32,))
    loss = torch.nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
