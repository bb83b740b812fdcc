"""The screens: start, lab, help, go to."""
