"""What ``emasync selftest`` does: bad days of archives, kills, power cuts and failing disks, on this machine."""
