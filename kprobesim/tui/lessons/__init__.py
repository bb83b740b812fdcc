"""A lesson beside the lab: where the learner is in it, what is shown of it, and which key comes next.

The desk holds the lesson on the lab's thread; the view is what it hands to the screen's thread after each motion.
"""
