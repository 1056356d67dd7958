"""The algorithms in the Processing toolbox."""

from pathlib import Path

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms import ALGORITHMS


class Provider(QgsProcessingProvider):
    """Everything that the command line does and that suits a model or a batch."""

    def id(self):
        """As in `qgis_process run pixelkin:segment`."""
        return "pixelkin"

    def name(self):
        """As the toolbox shows it."""
        return "pixelkin"

    def icon(self):
        """The plugin's own."""
        return QIcon(str(Path(__file__).parent / "icon.svg"))

    def loadAlgorithms(self):  # noqa: N802 - QGIS's name
        """One of each."""
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())
