"""What a network looks at: attributions, their measures against a mask and against the network, tables and words."""
