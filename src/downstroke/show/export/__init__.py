"""A W that leaves the program, for use elsewhere: ONNX, TorchScript, NumPy, and a page that reads without any of them.

`subject` is what leaves: a folded network with its temperature and threshold, and what is to be known about it. All
forms take the same images and give the same two answers: probabilities, and whether a glyph is accepted.
"""
