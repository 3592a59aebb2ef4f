"""The commands, one thin function a verb."""
