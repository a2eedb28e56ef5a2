"""FlashFace: identity as feature maps, read by a ReferenceNet and attended to beside the prompt."""
