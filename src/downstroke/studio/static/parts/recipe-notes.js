// A sentence on what each choice does. A choice that is not here has the recipe's own note, as all other fields do.

export const RECIPES = {
  standard:
    "The default: Adam at a constant lr on the least certain quarter of each batch, an average of the weights. It can be continued.",
  sprint: "A coarser network, with lr falling to zero: about 99% in seconds.",
  reader: "The recipe of the shipped reader: varied pens and hands, and drawn shapes that are not digits.",
  best: "Five 3x3 layers in full resolution, elastic bends and dropout: the most accurate.",
  textbook: "Plain: Nesterov momentum, batches of 128, lr falling exponentially.",
};

export const CHOICES = {
  model: {
    linear: "f(W, x): one layer, each logit a weighted sum of the 784 pixels.",
    mlp: "f(W, x): two hidden layers of 256 and 128 neurons.",
    cnn: "f(W, x): three convolutions, then one linear layer.",
    coarse: "f(W, x): convolutions with large windows, for the shortest trainings.",
    wide: "f(W, x): cnn with twice its channels, for few labels.",
  },
  criterion: {
    "cross-entropy": "The loss: −log of the label’s probability, from the logits.",
    nll: "The same in two steps: probabilities first, then −log of the label’s.",
    brier: "The loss: the squared distance between y and certainty of the label.",
    mse: "The loss: the squared distance between y and certainty of the label.",
  },
  optimizer: {
    sgd: "W = W − lr · dL/dW, nothing else.",
    momentum: "Like a rolling ball: each step keeps part of the steps before.",
    nesterov: "Momentum that looks ahead: it uses the gradient of where it is about to be.",
    adam: "Each weight’s step is scaled by running means of its gradient and its square.",
    adamw: "Adam, with the weight decay taken from the weights themselves.",
    rmsprop: "The gradient over the root of its running mean square.",
    muon: "Makes the updates of inner convolutions orthogonal; the rest as nesterov.",
  },
  schedule: {
    constant: "The same lr throughout: training can be continued at any time.",
    exponential: "lr falls by the same factor each epoch, a little at every step.",
    step: "lr drops at once, every few epochs.",
    "inverse-time": "lr falls as 1 over the epochs.",
    plateau: "lr drops when val loss no longer falls.",
    cosine: "lr falls to zero along half a cosine, over the epochs asked for.",
    "one-cycle": "lr rises, then falls to zero, over the epochs asked for.",
    linear: "lr falls to zero in a straight line, over the epochs asked for.",
  },
};
