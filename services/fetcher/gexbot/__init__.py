"""The vendor's API: signed URLs and its rate lease."""
