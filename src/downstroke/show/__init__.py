"""What leaves the program for people: curves (`plots`) and the pictures of a test (`report`).

Nothing is imported here: matplotlib takes a second to load, and most commands draw nothing.
"""
