"""The five lines of the notes, with downstroke's pieces: a loop of one's own over real MNIST.

python examples/five_lines.py 1000        # so many training images
"""

import sys

import torch

from downstroke import Recipe
from downstroke.data import sources
from downstroke.learning import criteria, models, optimizers

size = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
recipe = Recipe(model="mlp", optimizer="nesterov", lr=0.02)
data = sources.load("mnist").train
images, labels = torch.from_numpy(data.images[:size]), torch.from_numpy(data.labels[:size])

torch.manual_seed(0)
network = models.build(recipe, classes=10)  # f, with a random W
network.measure(images)  # mean and spread of the pixels
criterion = criteria.build(recipe, classes=10)
optimizer = optimizers.build(recipe, network)

for epoch in range(3):
    for batch in torch.randperm(size).split(128):
        logits = network(images[batch])  # y = f(W, x)
        loss = criterion(logits, labels[batch])  # L = criterion(y, labels)
        optimizer.zero_grad()
        loss.backward()  # dL/dW
        optimizer.step()  # W = W - lr * dL/dW
    print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.4f}")

right = network.eval()(images).argmax(1) == labels
print(f"{right.float().mean():.1%} of the training images are read right")
