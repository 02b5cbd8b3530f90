"""How often the face match errs: pairs of pictures, their distances, error rates with intervals, a threshold (ISO/IEC
19795-1).
"""
