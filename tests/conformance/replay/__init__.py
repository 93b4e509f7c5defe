"""Reading, replaying, recording and making anonymous."""
