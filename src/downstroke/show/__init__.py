"""What leaves the program for people: curves (`plots`) and the pictures of a test (`report`).

`style` is how they look; `curves` is what a history says before it is drawn.

Nothing is imported here: matplotlib takes a second to load, and most commands draw nothing.
"""
