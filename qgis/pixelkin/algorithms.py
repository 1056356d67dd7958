"""Each algorithm is one command of pixelkin: parameters in, arguments out, files back."""

import csv
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
    QgsProcessingParameterVectorDestination,
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

    def number(self, name, option):
        """An option with a number, nothing where none was given."""
        return [option, repr(self.parameterAsDouble(self._p, name, self._context))] if self._p.get(name) is not None else []

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
        self.addParameter(
            QgsProcessingParameterFile(
                "MODEL", tr("Model (empty: none, or one is trained where it is needed)"), extension="safetensors", optional=True
            )
        )
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


class Similar(Command):
    """`pixelkin similar`."""

    NAME, TITLE = "similar", "Find all like some marks"
    HELP = (
        "Finds everything that looks like some marked pixels of one class; one mark is enough. Beside the map of what was found stands how like the marks "
        "every pixel is, from 0 to 1. The threshold follows from the image unless one is given."
    )

    def initAlgorithm(self, _=None):  # noqa: N802 - QGIS's name
        """Its parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", tr("Image")))
        for parameter in _labels("LABELS", "Marked pixels", "CLASS_FIELD"):
            self.addParameter(parameter)
        self.addParameter(QgsProcessingParameterString("CLASS", tr("Class to find (empty: the only one)"), optional=True))
        self.addParameter(
            QgsProcessingParameterNumber(
                "THRESHOLD", tr("Threshold"), QgsProcessingParameterNumber.Double, optional=True, minValue=0, maxValue=1
            )
        )
        self.addParameter(QgsProcessingParameterFile("MODEL", tr("Model (empty: none)"), extension="safetensors", optional=True))
        self.addParameter(_extra())
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", tr("What was found")))

    def arguments(self):
        """Image, marks, options, map; the similarity stands beside it."""
        out, model, name = self.output("OUTPUT"), self.text("MODEL"), self.text("CLASS")
        arguments = ["similar", self.raster("INPUT"), *self.labels("LABELS", "CLASS_FIELD", "--labels"), "--out", out, "--overwrite"]
        arguments += [
            *(["--class", name] if name else []),
            *(["--model", model] if model else []),
            *self.number("THRESHOLD", "--threshold"),
        ]
        beside = Path(out)
        return arguments, {"OUTPUT": out, "SIMILARITY": str(beside.with_name(f"{beside.stem}_similarity{beside.suffix}"))}


class Sample(Command):
    """`pixelkin sample`."""

    NAME, TITLE = "sample", "Points at which to check a map"
    HELP = (
        "Draws points of which each pixel has a known chance. Fill in the true class of each without looking at the map; then 'Accuracy and areas of a "
        "map' gives accuracies and areas with 95 % intervals. The points carry how they were drawn."
    )
    ALLOCATIONS = ("proportional", "equal", "neyman")

    def initAlgorithm(self, _=None):  # noqa: N802 - QGIS's name
        """Its parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", tr("Map")))
        self.addParameter(QgsProcessingParameterNumber("N", tr("Points"), defaultValue=100, minValue=2))
        self.addParameter(
            QgsProcessingParameterNumber(
                "TARGET_SE", tr("Instead of a number: standard error of the accuracy to reach"), QgsProcessingParameterNumber.Double,
                optional=True, minValue=0, maxValue=1,
            )
        )  # fmt: skip
        self.addParameter(QgsProcessingParameterBoolean("SIMPLE", tr("No strata: every pixel has the same chance"), defaultValue=False))
        self.addParameter(
            QgsProcessingParameterEnum("ALLOCATION", tr("How points are shared out among classes"), list(self.ALLOCATIONS), defaultValue=0)
        )
        self.addParameter(QgsProcessingParameterNumber("FLOOR", tr("Points that each class gets at least"), defaultValue=0, minValue=0))
        self.addParameter(QgsProcessingParameterNumber("SEED", tr("Seed"), defaultValue=0, minValue=0))
        self.addParameter(_extra())
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", tr("Points"), QgsProcessing.TypeVectorPoint))

    def arguments(self):
        """Map, design, points."""
        out, floor = self.output("OUTPUT"), self.parameterAsInt(self._p, "FLOOR", self._context)
        reach = self.number("TARGET_SE", "--target-se")
        arguments = ["sample", self.raster("INPUT"), "--out", out, "--seed", self.text("SEED"), "--overwrite"]
        arguments += reach or ["--n", self.text("N")]
        if self.yes("SIMPLE"):
            return [*arguments, "--simple"], {"OUTPUT": out}
        allocation = self.ALLOCATIONS[self.parameterAsEnum(self._p, "ALLOCATION", self._context)]
        return [*arguments, "--allocation", allocation, *(["--floor", str(floor)] if floor else [])], {"OUTPUT": out}


class Areas(Command):
    """The areas that `pixelkin info` tells of a map."""

    NAME, TITLE = "areas", "Areas of the classes of a map"
    HELP = (
        "Pixels, hectares and share of each class, measured on the ellipsoid. They are what the map shows: areas with intervals, which allow for its "
        "errors, come from 'Accuracy and areas of a map' and a random sample."
    )

    def initAlgorithm(self, _=None):  # noqa: N802 - QGIS's name
        """Its parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", tr("Map")))
        self.addParameter(QgsProcessingParameterFileDestination("OUTPUT", tr("Areas"), "CSV (*.csv);;JSON (*.json)"))

    def arguments(self):
        """The map."""
        return ["info", self.raster("INPUT"), "--json"], {}

    def results(self, printed):
        """The table as a file."""
        out, areas = Path(self.output("OUTPUT")), json.loads(printed).get("areas")
        if areas is None:
            raise QgsProcessingException(tr("The raster is no map of pixelkin: it names no classes. Choose one that pixelkin wrote."))
        if out.suffix.lower() == ".json":
            out.write_text(json.dumps(areas, indent=2), encoding="utf-8")
        else:
            with out.open("w", encoding="utf-8", newline="") as file:
                table = csv.DictWriter(file, areas["classes"][0])
                table.writeheader()
                table.writerows(areas["classes"])
        return {"OUTPUT": str(out)}


ALGORITHMS = (Train, Segment, SegmentSeries, Similar, Sample, Evaluate, Areas)
