"""Train and val, cut from the data as the recipe says."""

from __future__ import annotations

from downstroke.data import dataset as data
from downstroke.recipe import Recipe


class Parts:
    """`train` and `val` of a recipe. Both are functions of the data and of the recipe's `split_seed`."""

    def __init__(self, loaded: data.Dataset, recipe: Recipe) -> None:
        seed = recipe.split_seed
        if loaded.val is not None and recipe.val_size:
            self.val, self.train = loaded.val, loaded.train
        else:
            train, val = data.split(loaded.train.labels, recipe.val_size, seed)
            self.val = loaded.train.take(val)
            self.train = loaded.train.take(train) if len(val) else loaded.train
        if recipe.train_size is not None:
            share = recipe.train_size < 1
            size = round(recipe.train_size * len(self.train)) if share else int(recipe.train_size)
            self.train = self.train.take(data.cut(self.train.labels, size, seed))
        if recipe.label_noise:
            spoilt = data.spoil(self.train.labels, recipe.label_noise, len(loaded.classes), seed)
            self.train = data.Part(self.train.images, spoilt)
