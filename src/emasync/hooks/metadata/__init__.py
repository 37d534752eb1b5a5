"""What datasets are: one table over all assets of a root, every value with where it stands.

``extract_*`` modules read one kind of document or header each and give claims (:mod:`.claims`); :mod:`.merging`
chooses among them by a stated rule and keeps the others; :mod:`.hook` puts them together and writes them.
"""
