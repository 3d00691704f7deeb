"""The same five lines in torch alone: downstroke gives the images, and nothing else.

python examples/bare_torch.py 1000        # so many training images
"""

import sys

import torch
from torch import nn

from downstroke.data import sources

size = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
data = sources.load("mnist").train
images = torch.from_numpy(data.images[:size]).float() / 255
labels = torch.from_numpy(data.labels[:size])

torch.manual_seed(0)
network = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)

for epoch in range(3):
    for batch in torch.randperm(size).split(128):
        logits = network(images[batch])  # y = f(W, x)
        loss = criterion(logits, labels[batch])  # L = criterion(y, labels)
        optimizer.zero_grad()
        loss.backward()  # dL/dW
        optimizer.step()  # W = W - lr * dL/dW
    print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.4f}")

right = network(images).argmax(1) == labels
print(f"{right.float().mean():.1%} of the training images are read right")
