"""Traces of electrodes as plain numbers: binary folders of SpikeInterface, recordings of Open Ephys."""
