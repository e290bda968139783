"""A media worker: the process that records. A package, because four rooms meet here and a file has one job.

``memory`` maps the file that outlives a worker, ``intake`` runs slabs, ``filters`` keeps strangers out; ``shelf``
puts what was cut off into files, ``decoding`` has Opus decoded before; ``keeping`` decides when that is durable,
``mishaps`` what if the disk refuses.
``starting`` and ``closing`` are the two ends of a recording, ``rolling`` its middle, ``story`` tells what the columns
know of it, ``voices`` which channels it has, ``errands`` does what takes long. ``recovery`` takes up what a dead worker
left, ``desk`` answers the link in the words of ``orders``, ``reports`` speaks once a second, ``process`` puts it all
together.

Rooms never call backwards; only this one knows net, media and archive. It never imports aiohttp, ``control``, ``api``.
"""
