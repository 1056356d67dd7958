"""Each algorithm is one command of pixelkin: parameters in, arguments out, files back."""

import json
import tempfile
from pathlib import Path

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsVectorFileWriter,
)
from qgis.PyQt.QtCore import QCoreApplication

from . import program


def tr(text):
    """A text in the language of QGIS."""
    return QCoreApplication.translate("pixelkin", text)


class Command(QgsProcessingAlgorithm):
    """Runs one command with progress and cancel; subclasses say what it is called and what it is given."""

    NAME = TITLE = HELP = ""

    def name(self):
        """As in `pixelkin:NAME`."""
        return self.NAME

    def displayName(self):  # noqa: N802 - QGIS's name
        """As the toolbox shows it."""
        return tr(self.TITLE)

    def shortHelpString(self):  # noqa: N802 - QGIS's name
        """Beside the dialog."""
        return tr(self.HELP)

    def createInstance(self):  # noqa: N802 - QGIS's name
        """A new one for each run."""
        return type(self)()

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802 - QGIS's name
        """Run the command; QgsProcessingException with its message where it refuses."""
        self._p, self._context, self._feedback = parameters, context, feedback
        with tempfile.TemporaryDirectory(prefix="pixelkin-") as folder:
            self._folder = Path(folder)
            arguments, outputs = self.arguments()
            arguments += self.text("EXTRA").split() if self.parameterDefinition("EXTRA") else []
            feedback.pushCommandInfo("pixelkin " + " ".join(arguments))
            try:
                printed = program.run(arguments, on_line=self._line, cancelled=feedback.isCanceled)
            except program.ProgramError as error:
                raise QgsProcessingException(str(error)) from error
        if printed:
            feedback.pushInfo(printed)
        return {**outputs, **self.results(printed or "")}

    def arguments(self):
        """What follows `pixelkin`, and the outputs by name."""
        raise NotImplementedError

    def results(self, printed):
        """More outputs, from what the command printed."""
        return {}

    def _line(self, line):
        share = program.progress_of(line)
        if share is not None:
            self._feedback.setProgress(share)
        elif "warning:" in line:
            self._feedback.pushWarning(line)
        elif line:
            self._feedback.pushInfo(line)

    # --- values of parameters

    def text(self, name):
        """A string or file, '' if it is not given."""
        return self.parameterAsString(self._p, name, self._context)

    def yes(self, name):
        """A boolean."""
        return self.parameterAsBool(self._p, name, self._context)

    def raster(self, name):
        """The file of a raster layer."""
        layer = self.parameterAsRasterLayer(self._p, name, self._context)
        if layer is None or layer.dataProvider().name() != "gdal":
            raise QgsProcessingException(tr("The image has to be a raster that is a file. Save the layer first."))
        return layer.source()

    def output(self, name):
        """The file that an output goes to; '' if it is skipped."""
        return self.parameterAsOutputLayer(self._p, name, self._context) or self.parameterAsFileOutput(self._p, name, self._context)

    def labels(self, name, field, option):
        """Arguments for a layer of labels: its features (the selected ones, if QGIS says so), in a file of their own."""
        source = self.parameterAsSource(self._p, name, self._context)
        if source is None:
            return []
        path = str(self._folder / f"{name.lower()}.gpkg")
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.layerName = name.lower()
        # Any kind of geometry: an empty or a mixed layer says so in the command's words.
        writer = QgsVectorFileWriter.create(
            path, source.fields(), source.wkbType(), source.sourceCrs(), self._context.transformContext(), options
        )
        for feature in source.getFeatures():
            writer.addFeature(feature)
        del writer
        chosen = self.text(field)
        return [option, path, *(["--class-property", chosen] if chosen else [])]


def _extra():
    extra = QgsProcessingParameterString("EXTRA", tr("More options of the command line"), optional=True)
    extra.setFlags(extra.flags() | extra.Flag.FlagAdvanced if hasattr(extra, "Flag") else extra.flags() | extra.FlagAdvanced)
    return extra


def _labels(name, title, field, *, optional=False):
    return (
        QgsProcessingParameterFeatureSource(name, tr(title), [QgsProcessing.TypeVectorAnyGeometry], optional=optional),
        QgsProcessingParameterField(field, tr("Field with the class"), parentLayerParameterName=name, optional=True, defaultValue="class"),
    )


class Train(Command):
    """`pixelkin train`."""

    NAME, TITLE = "train", "Train an encoder"
    HELP = "Learns from imagery, without labels, how alike two pixels are. More images are better; dates of one place teach what season and haze do."

    def initAlgorithm(self, _=None):  # noqa: N802 - QGIS's name
        """Its parameters."""
        self.addParameter(QgsProcessingParameterMultipleLayers("INPUT", tr("Images"), QgsProcessing.TypeRaster))
        self.addParameter(QgsProcessingParameterEnum("PRESET", tr("Preset"), ["fast", "paper"], defaultValue=0))
        self.addParameter(QgsProcessingParameterNumber("STEPS", tr("Steps (0: the preset's)"), defaultValue=0, minValue=0))
        self.addParameter(QgsProcessingParameterNumber("SEED", tr("Seed"), defaultValue=0, minValue=0))
        self.addParameter(_extra())
        self.addParameter(QgsProcessingParameterFileDestination("OUTPUT", tr("Model"), "pixelkin model (*.safetensors)"))

    def arguments(self):
        """Images, options, model."""
        images = [layer.source() for layer in self.parameterAsLayerList(self._p, "INPUT", self._context)]
        steps = self.parameterAsInt(self._p, "STEPS", self._context)
        preset = ("fast", "paper")[self.parameterAsEnum(self._p, "PRESET", self._context)]
        out = self.output("OUTPUT")
        arguments = ["train", *images, "--out", out, "--preset", preset, "--seed", self.text("SEED"), "--overwrite"]
        return [*arguments, *(["--steps", str(steps)] if steps else [])], {"OUTPUT": out}


class _Segments(Command):
    """What mapping an image and mapping a series share."""

    def _add_common(self):
        for parameter in _labels("LABELS", "Marked pixels", "CLASS_FIELD"):
            self.addParameter(parameter)
        self.addParameter(QgsProcessingParameterFile("MODEL", tr("Model (empty: train one)"), extension="safetensors", optional=True))
        self.addParameter(QgsProcessingParameterBoolean("RAW", tr("Use the bands alone, with no model (quick)"), defaultValue=False))
        self.addParameter(QgsProcessingParameterBoolean("CONFIDENCE", tr("Also write the confidence"), defaultValue=False))
        self.addParameter(_extra())

    def _common(self):
        model = self.text("MODEL")
        return [
            *self.labels("LABELS", "CLASS_FIELD", "--labels"),
            *(["--model", model] if model else []),
            *(["--raw"] if self.yes("RAW") else []),
            *(["--confidence"] if self.yes("CONFIDENCE") else []),
            "--overwrite",
        ]


class Segment(_Segments):
    """`pixelkin segment` of one image."""

    NAME, TITLE = "segment", "Map an image from a few labels"
    HELP = "Turns a handful of marked pixels into a map of the image. The same command and files give the same bits, here and on the command line."

    def initAlgorithm(self, _=None):  # noqa: N802 - QGIS's name
        """Its parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", tr("Image")))
        self._add_common()
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", tr("Map")))
        self.addParameter(
            QgsProcessingParameterFileDestination("AREAS", tr("Areas"), "CSV (*.csv);;JSON (*.json)", optional=True, createByDefault=False)
        )
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "POLYGONS", tr("Polygons"), "GeoPackage (*.gpkg);;GeoJSON (*.geojson)", optional=True, createByDefault=False
            )
        )

    def arguments(self):
        """Image, labels, options, map."""
        out, areas, polygons = (self.output(name) for name in ("OUTPUT", "AREAS", "POLYGONS"))
        arguments = ["segment", self.raster("INPUT"), *self._common(), "--out", out]
        arguments += ["--areas", areas] if areas else []
        arguments += ["--polygons", polygons] if polygons else []
        return arguments, {"OUTPUT": out, **({"AREAS": areas} if areas else {}), **({"POLYGONS": polygons} if polygons else {})}


class SegmentSeries(_Segments):
    """`pixelkin segment` of a folder of dates."""

    NAME, TITLE = "segmentseries", "Map all dates of a series from a few labels"
    HELP = "The folder holds one image a date on one grid. Marks drawn on one date map them all."

    def initAlgorithm(self, _=None):  # noqa: N802 - QGIS's name
        """Its parameters."""
        self.addParameter(QgsProcessingParameterFile("INPUT", tr("Folder of dates"), behavior=QgsProcessingParameterFile.Folder))
        self.addParameter(QgsProcessingParameterString("DATE", tr("Date that was marked, YYYY-MM-DD (empty: the first)"), optional=True))
        self._add_common()
        self.addParameter(QgsProcessingParameterFolderDestination("OUTPUT", tr("Folder of maps")))

    def arguments(self):
        """Folder, labels, options, folder."""
        out, date = self.text("OUTPUT"), self.text("DATE")
        return ["segment", self.text("INPUT"), *self._common(), *(["--labels-date", date] if date else []), "--out", out], {"OUTPUT": out}


class Evaluate(Command):
    """`pixelkin evaluate`."""

    NAME, TITLE = "evaluate", "Accuracy and areas of a map"
    HELP = (
        "Compares a map with labels that were kept back: accuracy, IoU of each class, and, from a random sample, areas with 95 % intervals."
    )

    def initAlgorithm(self, _=None):  # noqa: N802 - QGIS's name
        """Its parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", tr("Map")))
        for parameter in _labels("TRUTH", "Labels kept back", "CLASS_FIELD"):
            self.addParameter(parameter)
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "AREAS", tr("Areas with intervals"), "CSV (*.csv);;JSON (*.json)", optional=True, createByDefault=False
            )
        )
        self.addParameter(_extra())
        self.addParameter(QgsProcessingParameterFileDestination("OUTPUT", tr("Result"), "JSON (*.json)"))

    def arguments(self):
        """Map, truth, options."""
        areas = self.output("AREAS")
        arguments = ["evaluate", self.raster("INPUT"), *self.labels("TRUTH", "CLASS_FIELD", "--truth"), "--json", "--overwrite"]
        return arguments + (["--areas", areas] if areas else []), {"AREAS": areas} if areas else {}

    def results(self, printed):
        """The JSON as a file, and its two headline figures."""
        out = self.output("OUTPUT")
        Path(out).write_text(printed, encoding="utf-8")
        found = json.loads(printed)
        return {"OUTPUT": out, **{name.upper(): found[name] for name in ("accuracy", "mean_iou") if name in found}}


ALGORITHMS = (Train, Segment, SegmentSeries, Evaluate)
