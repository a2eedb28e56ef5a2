"""Face2Diffusion (CVPR 2024): a person as two words of the prompt, for any SD1.x model.

face, five landmarks -> 112 x 112 crop -> MSID encoder -> vector (1536)
vector, expression -> mapping network -> two word vectors (768), put where the prompt says so
"""
