"""What QGIS loads: the panel and the Processing provider."""

from pathlib import Path

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication, QLocale, QSettings, Qt, QTranslator
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction

from .provider import Provider


class Plugin:
    """Adds the panel and the algorithms, and takes them away again."""

    def __init__(self, iface):
        """Args: iface: QGIS's interface; None under qgis_process."""
        self._iface = iface
        self._provider = self._dock = self._action = None
        language = str(QSettings().value("locale/userLocale", QLocale().name()))[:2]
        self._translator = QTranslator()
        if self._translator.load(str(Path(__file__).parent / "i18n" / f"pixelkin_{language}.qm")):
            QCoreApplication.installTranslator(self._translator)

    def initProcessing(self):  # noqa: N802 - QGIS's name
        """Add the algorithms; all that qgis_process asks for."""
        self._provider = Provider()
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self):  # noqa: N802 - QGIS's name
        """Add the algorithms and the button that opens the panel."""
        self.initProcessing()
        icon = QIcon(str(Path(__file__).parent / "icon.svg"))
        self._action = QAction(icon, "pixelkin", self._iface.mainWindow(), checkable=True)
        self._action.toggled.connect(self._toggle)
        self._iface.addToolBarIcon(self._action)
        self._iface.addPluginToRasterMenu("pixelkin", self._action)

    def _toggle(self, is_wanted):
        if self._dock is None and is_wanted:
            from .dock import Dock

            self._dock = Dock(self._iface)
            self._dock.closed.connect(lambda: self._action.setChecked(False))
            self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
        if self._dock is not None:
            self._dock.setVisible(is_wanted)

    def unload(self):
        """Take everything away."""
        if self._dock is not None:
            self._dock.shut_down()
            self._iface.removeDockWidget(self._dock)
            self._dock.deleteLater()
        if self._action is not None:
            self._iface.removeToolBarIcon(self._action)
            self._iface.removePluginRasterMenu("pixelkin", self._action)
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
