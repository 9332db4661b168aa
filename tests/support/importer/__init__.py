"""Support for the importer's tests: a lake on disk, staged files and full disks."""
