"""The private environment, made in the background with everything that pip says shown."""

from qgis.core import QgsApplication, QgsTask
from qgis.PyQt.QtCore import QObject, pyqtSignal

from . import program


class InstallTask(QObject):
    """Makes the environment as a task of QGIS, which can be cancelled there."""

    line = pyqtSignal(str)
    ended = pyqtSignal(str, bool)
    """A message, and whether something went wrong."""

    def __init__(self, source):
        """Args: source: what pip is to install."""
        super().__init__()
        self._source = source

    def start(self):
        """Hand it to QGIS."""
        self._task = QgsTask.fromFunction("pixelkin: install", self._run, on_finished=self._done)
        QgsApplication.taskManager().addTask(self._task)

    def _run(self, task):
        program.install(self._source, self.line.emit, task.isCanceled)

    def _done(self, error, _result=None):
        self.ended.emit("pixelkin is installed." if error is None else str(error), error is not None)
