"""pixelkin in QGIS. Standard library and PyQGIS only: the work is done by the program pixelkin, in processes of its own."""


def classFactory(iface):  # noqa: N802 - QGIS asks for this name
    """The plugin, as QGIS loads it."""
    from .plugin import Plugin

    return Plugin(iface)
