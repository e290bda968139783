"""A media worker: the process that records. A package, because four rooms meet here and a file has one job.

``memory`` maps the file that outlives a worker, ``intake`` runs slabs, ``shelf`` puts what was cut off into files,
``keeping`` decides when that becomes durable, ``closing`` brings a recording to ready/, ``story`` tells what the columns know,
``recovery`` takes up what a dead worker left, ``desk`` answers the link, ``process`` puts it all together. Rooms never call
backwards; only this one knows net, media and archive. It never imports aiohttp, ``control`` or ``api``.
"""
