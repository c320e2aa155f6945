"""batuta-photos: upload folders of pictures to Google Photos albums.

`cli` is the command line, `run` a whole upload; `pipeline` carries files from disk to the service,
`journal` remembers what was done. Everything runs on one asyncio loop; files are read in threads.
"""

__version__ = "0.1.0"
