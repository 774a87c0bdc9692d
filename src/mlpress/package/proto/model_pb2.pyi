from mlpress.package.proto import mil_pb2 as _mil_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("specificationVersion", "description", "isUpdatable", "pipelineClassifier", "pipelineRegressor", "pipeline", "glmRegressor", "supportVectorRegressor", "treeEnsembleRegressor", "neuralNetworkRegressor", "bayesianProbitRegressor", "glmClassifier", "supportVectorClassifier", "treeEnsembleClassifier", "neuralNetworkClassifier", "kNearestNeighborsClassifier", "neuralNetwork", "itemSimilarityRecommender", "mlProgram", "customModel", "linkedModel", "classConfidenceThresholding", "oneHotEncoder", "imputer", "featureVectorizer", "dictVectorizer", "scaler", "categoricalMapping", "normalizer", "arrayFeatureExtractor", "nonMaximumSuppression", "identity", "textClassifier", "wordTagger", "visionFeaturePrint", "soundAnalysisPreprocessing", "gazetteer", "wordEmbedding", "audioFeaturePrint", "serializedModel")
    SPECIFICATIONVERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ISUPDATABLE_FIELD_NUMBER: _ClassVar[int]
    PIPELINECLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    PIPELINEREGRESSOR_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    GLMREGRESSOR_FIELD_NUMBER: _ClassVar[int]
    SUPPORTVECTORREGRESSOR_FIELD_NUMBER: _ClassVar[int]
    TREEENSEMBLEREGRESSOR_FIELD_NUMBER: _ClassVar[int]
    NEURALNETWORKREGRESSOR_FIELD_NUMBER: _ClassVar[int]
    BAYESIANPROBITREGRESSOR_FIELD_NUMBER: _ClassVar[int]
    GLMCLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    SUPPORTVECTORCLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    TREEENSEMBLECLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    NEURALNETWORKCLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    KNEARESTNEIGHBORSCLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    NEURALNETWORK_FIELD_NUMBER: _ClassVar[int]
    ITEMSIMILARITYRECOMMENDER_FIELD_NUMBER: _ClassVar[int]
    MLPROGRAM_FIELD_NUMBER: _ClassVar[int]
    CUSTOMMODEL_FIELD_NUMBER: _ClassVar[int]
    LINKEDMODEL_FIELD_NUMBER: _ClassVar[int]
    CLASSCONFIDENCETHRESHOLDING_FIELD_NUMBER: _ClassVar[int]
    ONEHOTENCODER_FIELD_NUMBER: _ClassVar[int]
    IMPUTER_FIELD_NUMBER: _ClassVar[int]
    FEATUREVECTORIZER_FIELD_NUMBER: _ClassVar[int]
    DICTVECTORIZER_FIELD_NUMBER: _ClassVar[int]
    SCALER_FIELD_NUMBER: _ClassVar[int]
    CATEGORICALMAPPING_FIELD_NUMBER: _ClassVar[int]
    NORMALIZER_FIELD_NUMBER: _ClassVar[int]
    ARRAYFEATUREEXTRACTOR_FIELD_NUMBER: _ClassVar[int]
    NONMAXIMUMSUPPRESSION_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    TEXTCLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    WORDTAGGER_FIELD_NUMBER: _ClassVar[int]
    VISIONFEATUREPRINT_FIELD_NUMBER: _ClassVar[int]
    SOUNDANALYSISPREPROCESSING_FIELD_NUMBER: _ClassVar[int]
    GAZETTEER_FIELD_NUMBER: _ClassVar[int]
    WORDEMBEDDING_FIELD_NUMBER: _ClassVar[int]
    AUDIOFEATUREPRINT_FIELD_NUMBER: _ClassVar[int]
    SERIALIZEDMODEL_FIELD_NUMBER: _ClassVar[int]
    specificationVersion: int
    description: ModelDescription
    isUpdatable: bool
    pipelineClassifier: bytes
    pipelineRegressor: bytes
    pipeline: bytes
    glmRegressor: bytes
    supportVectorRegressor: bytes
    treeEnsembleRegressor: bytes
    neuralNetworkRegressor: bytes
    bayesianProbitRegressor: bytes
    glmClassifier: bytes
    supportVectorClassifier: bytes
    treeEnsembleClassifier: bytes
    neuralNetworkClassifier: bytes
    kNearestNeighborsClassifier: bytes
    neuralNetwork: bytes
    itemSimilarityRecommender: bytes
    mlProgram: _mil_pb2.Program
    customModel: bytes
    linkedModel: bytes
    classConfidenceThresholding: bytes
    oneHotEncoder: bytes
    imputer: bytes
    featureVectorizer: bytes
    dictVectorizer: bytes
    scaler: bytes
    categoricalMapping: bytes
    normalizer: bytes
    arrayFeatureExtractor: bytes
    nonMaximumSuppression: bytes
    identity: bytes
    textClassifier: bytes
    wordTagger: bytes
    visionFeaturePrint: bytes
    soundAnalysisPreprocessing: bytes
    gazetteer: bytes
    wordEmbedding: bytes
    audioFeaturePrint: bytes
    serializedModel: bytes
    def __init__(self, specificationVersion: _Optional[int] = ..., description: _Optional[_Union[ModelDescription, _Mapping]] = ..., isUpdatable: bool = ..., pipelineClassifier: _Optional[bytes] = ..., pipelineRegressor: _Optional[bytes] = ..., pipeline: _Optional[bytes] = ..., glmRegressor: _Optional[bytes] = ..., supportVectorRegressor: _Optional[bytes] = ..., treeEnsembleRegressor: _Optional[bytes] = ..., neuralNetworkRegressor: _Optional[bytes] = ..., bayesianProbitRegressor: _Optional[bytes] = ..., glmClassifier: _Optional[bytes] = ..., supportVectorClassifier: _Optional[bytes] = ..., treeEnsembleClassifier: _Optional[bytes] = ..., neuralNetworkClassifier: _Optional[bytes] = ..., kNearestNeighborsClassifier: _Optional[bytes] = ..., neuralNetwork: _Optional[bytes] = ..., itemSimilarityRecommender: _Optional[bytes] = ..., mlProgram: _Optional[_Union[_mil_pb2.Program, _Mapping]] = ..., customModel: _Optional[bytes] = ..., linkedModel: _Optional[bytes] = ..., classConfidenceThresholding: _Optional[bytes] = ..., oneHotEncoder: _Optional[bytes] = ..., imputer: _Optional[bytes] = ..., featureVectorizer: _Optional[bytes] = ..., dictVectorizer: _Optional[bytes] = ..., scaler: _Optional[bytes] = ..., categoricalMapping: _Optional[bytes] = ..., normalizer: _Optional[bytes] = ..., arrayFeatureExtractor: _Optional[bytes] = ..., nonMaximumSuppression: _Optional[bytes] = ..., identity: _Optional[bytes] = ..., textClassifier: _Optional[bytes] = ..., wordTagger: _Optional[bytes] = ..., visionFeaturePrint: _Optional[bytes] = ..., soundAnalysisPreprocessing: _Optional[bytes] = ..., gazetteer: _Optional[bytes] = ..., wordEmbedding: _Optional[bytes] = ..., audioFeaturePrint: _Optional[bytes] = ..., serializedModel: _Optional[bytes] = ...) -> None: ...

class ModelDescription(_message.Message):
    __slots__ = ("input", "output", "predictedFeatureName", "predictedProbabilitiesName", "state", "functions", "defaultFunctionName", "trainingInput", "metadata")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PREDICTEDFEATURENAME_FIELD_NUMBER: _ClassVar[int]
    PREDICTEDPROBABILITIESNAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    DEFAULTFUNCTIONNAME_FIELD_NUMBER: _ClassVar[int]
    TRAININGINPUT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    input: _containers.RepeatedCompositeFieldContainer[FeatureDescription]
    output: _containers.RepeatedCompositeFieldContainer[FeatureDescription]
    predictedFeatureName: str
    predictedProbabilitiesName: str
    state: _containers.RepeatedCompositeFieldContainer[FeatureDescription]
    functions: _containers.RepeatedCompositeFieldContainer[FunctionDescription]
    defaultFunctionName: str
    trainingInput: _containers.RepeatedCompositeFieldContainer[FeatureDescription]
    metadata: Metadata
    def __init__(self, input: _Optional[_Iterable[_Union[FeatureDescription, _Mapping]]] = ..., output: _Optional[_Iterable[_Union[FeatureDescription, _Mapping]]] = ..., predictedFeatureName: _Optional[str] = ..., predictedProbabilitiesName: _Optional[str] = ..., state: _Optional[_Iterable[_Union[FeatureDescription, _Mapping]]] = ..., functions: _Optional[_Iterable[_Union[FunctionDescription, _Mapping]]] = ..., defaultFunctionName: _Optional[str] = ..., trainingInput: _Optional[_Iterable[_Union[FeatureDescription, _Mapping]]] = ..., metadata: _Optional[_Union[Metadata, _Mapping]] = ...) -> None: ...

class FunctionDescription(_message.Message):
    __slots__ = ("name", "input", "output", "predictedFeatureName", "predictedProbabilitiesName", "state")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PREDICTEDFEATURENAME_FIELD_NUMBER: _ClassVar[int]
    PREDICTEDPROBABILITIESNAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    input: _containers.RepeatedCompositeFieldContainer[FeatureDescription]
    output: _containers.RepeatedCompositeFieldContainer[FeatureDescription]
    predictedFeatureName: str
    predictedProbabilitiesName: str
    state: _containers.RepeatedCompositeFieldContainer[FeatureDescription]
    def __init__(self, name: _Optional[str] = ..., input: _Optional[_Iterable[_Union[FeatureDescription, _Mapping]]] = ..., output: _Optional[_Iterable[_Union[FeatureDescription, _Mapping]]] = ..., predictedFeatureName: _Optional[str] = ..., predictedProbabilitiesName: _Optional[str] = ..., state: _Optional[_Iterable[_Union[FeatureDescription, _Mapping]]] = ...) -> None: ...

class FeatureDescription(_message.Message):
    __slots__ = ("name", "shortDescription", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHORTDESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    shortDescription: str
    type: FeatureType
    def __init__(self, name: _Optional[str] = ..., shortDescription: _Optional[str] = ..., type: _Optional[_Union[FeatureType, _Mapping]] = ...) -> None: ...

class Metadata(_message.Message):
    __slots__ = ("shortDescription", "versionString", "author", "license", "userDefined")
    class UserDefinedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SHORTDESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VERSIONSTRING_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    LICENSE_FIELD_NUMBER: _ClassVar[int]
    USERDEFINED_FIELD_NUMBER: _ClassVar[int]
    shortDescription: str
    versionString: str
    author: str
    license: str
    userDefined: _containers.ScalarMap[str, str]
    def __init__(self, shortDescription: _Optional[str] = ..., versionString: _Optional[str] = ..., author: _Optional[str] = ..., license: _Optional[str] = ..., userDefined: _Optional[_Mapping[str, str]] = ...) -> None: ...

class FeatureType(_message.Message):
    __slots__ = ("int64Type", "doubleType", "stringType", "imageType", "multiArrayType", "dictionaryType", "sequenceType", "stateType", "isOptional")
    INT64TYPE_FIELD_NUMBER: _ClassVar[int]
    DOUBLETYPE_FIELD_NUMBER: _ClassVar[int]
    STRINGTYPE_FIELD_NUMBER: _ClassVar[int]
    IMAGETYPE_FIELD_NUMBER: _ClassVar[int]
    MULTIARRAYTYPE_FIELD_NUMBER: _ClassVar[int]
    DICTIONARYTYPE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCETYPE_FIELD_NUMBER: _ClassVar[int]
    STATETYPE_FIELD_NUMBER: _ClassVar[int]
    ISOPTIONAL_FIELD_NUMBER: _ClassVar[int]
    int64Type: Int64FeatureType
    doubleType: DoubleFeatureType
    stringType: StringFeatureType
    imageType: ImageFeatureType
    multiArrayType: ArrayFeatureType
    dictionaryType: DictionaryFeatureType
    sequenceType: SequenceFeatureType
    stateType: StateFeatureType
    isOptional: bool
    def __init__(self, int64Type: _Optional[_Union[Int64FeatureType, _Mapping]] = ..., doubleType: _Optional[_Union[DoubleFeatureType, _Mapping]] = ..., stringType: _Optional[_Union[StringFeatureType, _Mapping]] = ..., imageType: _Optional[_Union[ImageFeatureType, _Mapping]] = ..., multiArrayType: _Optional[_Union[ArrayFeatureType, _Mapping]] = ..., dictionaryType: _Optional[_Union[DictionaryFeatureType, _Mapping]] = ..., sequenceType: _Optional[_Union[SequenceFeatureType, _Mapping]] = ..., stateType: _Optional[_Union[StateFeatureType, _Mapping]] = ..., isOptional: bool = ...) -> None: ...

class Int64FeatureType(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DoubleFeatureType(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StringFeatureType(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SizeRange(_message.Message):
    __slots__ = ("lowerBound", "upperBound")
    LOWERBOUND_FIELD_NUMBER: _ClassVar[int]
    UPPERBOUND_FIELD_NUMBER: _ClassVar[int]
    lowerBound: int
    upperBound: int
    def __init__(self, lowerBound: _Optional[int] = ..., upperBound: _Optional[int] = ...) -> None: ...

class ImageFeatureType(_message.Message):
    __slots__ = ("width", "height", "enumeratedSizes", "imageSizeRange", "colorSpace")
    class ColorSpace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        INVALID_COLOR_SPACE: _ClassVar[ImageFeatureType.ColorSpace]
        GRAYSCALE: _ClassVar[ImageFeatureType.ColorSpace]
        RGB: _ClassVar[ImageFeatureType.ColorSpace]
        BGR: _ClassVar[ImageFeatureType.ColorSpace]
        GRAYSCALE_FLOAT16: _ClassVar[ImageFeatureType.ColorSpace]
    INVALID_COLOR_SPACE: ImageFeatureType.ColorSpace
    GRAYSCALE: ImageFeatureType.ColorSpace
    RGB: ImageFeatureType.ColorSpace
    BGR: ImageFeatureType.ColorSpace
    GRAYSCALE_FLOAT16: ImageFeatureType.ColorSpace
    class ImageSize(_message.Message):
        __slots__ = ("width", "height")
        WIDTH_FIELD_NUMBER: _ClassVar[int]
        HEIGHT_FIELD_NUMBER: _ClassVar[int]
        width: int
        height: int
        def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...
    class EnumeratedImageSizes(_message.Message):
        __slots__ = ("sizes",)
        SIZES_FIELD_NUMBER: _ClassVar[int]
        sizes: _containers.RepeatedCompositeFieldContainer[ImageFeatureType.ImageSize]
        def __init__(self, sizes: _Optional[_Iterable[_Union[ImageFeatureType.ImageSize, _Mapping]]] = ...) -> None: ...
    class ImageSizeRange(_message.Message):
        __slots__ = ("widthRange", "heightRange")
        WIDTHRANGE_FIELD_NUMBER: _ClassVar[int]
        HEIGHTRANGE_FIELD_NUMBER: _ClassVar[int]
        widthRange: SizeRange
        heightRange: SizeRange
        def __init__(self, widthRange: _Optional[_Union[SizeRange, _Mapping]] = ..., heightRange: _Optional[_Union[SizeRange, _Mapping]] = ...) -> None: ...
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENUMERATEDSIZES_FIELD_NUMBER: _ClassVar[int]
    IMAGESIZERANGE_FIELD_NUMBER: _ClassVar[int]
    COLORSPACE_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    enumeratedSizes: ImageFeatureType.EnumeratedImageSizes
    imageSizeRange: ImageFeatureType.ImageSizeRange
    colorSpace: ImageFeatureType.ColorSpace
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., enumeratedSizes: _Optional[_Union[ImageFeatureType.EnumeratedImageSizes, _Mapping]] = ..., imageSizeRange: _Optional[_Union[ImageFeatureType.ImageSizeRange, _Mapping]] = ..., colorSpace: _Optional[_Union[ImageFeatureType.ColorSpace, str]] = ...) -> None: ...

class ArrayFeatureType(_message.Message):
    __slots__ = ("shape", "dataType", "enumeratedShapes", "shapeRange", "intDefaultValue", "floatDefaultValue", "doubleDefaultValue")
    class ArrayDataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        INVALID_ARRAY_DATA_TYPE: _ClassVar[ArrayFeatureType.ArrayDataType]
        FLOAT16: _ClassVar[ArrayFeatureType.ArrayDataType]
        FLOAT32: _ClassVar[ArrayFeatureType.ArrayDataType]
        DOUBLE: _ClassVar[ArrayFeatureType.ArrayDataType]
        INT8: _ClassVar[ArrayFeatureType.ArrayDataType]
        INT32: _ClassVar[ArrayFeatureType.ArrayDataType]
    INVALID_ARRAY_DATA_TYPE: ArrayFeatureType.ArrayDataType
    FLOAT16: ArrayFeatureType.ArrayDataType
    FLOAT32: ArrayFeatureType.ArrayDataType
    DOUBLE: ArrayFeatureType.ArrayDataType
    INT8: ArrayFeatureType.ArrayDataType
    INT32: ArrayFeatureType.ArrayDataType
    class Shape(_message.Message):
        __slots__ = ("shape",)
        SHAPE_FIELD_NUMBER: _ClassVar[int]
        shape: _containers.RepeatedScalarFieldContainer[int]
        def __init__(self, shape: _Optional[_Iterable[int]] = ...) -> None: ...
    class EnumeratedShapes(_message.Message):
        __slots__ = ("shapes",)
        SHAPES_FIELD_NUMBER: _ClassVar[int]
        shapes: _containers.RepeatedCompositeFieldContainer[ArrayFeatureType.Shape]
        def __init__(self, shapes: _Optional[_Iterable[_Union[ArrayFeatureType.Shape, _Mapping]]] = ...) -> None: ...
    class ShapeRange(_message.Message):
        __slots__ = ("sizeRanges",)
        SIZERANGES_FIELD_NUMBER: _ClassVar[int]
        sizeRanges: _containers.RepeatedCompositeFieldContainer[SizeRange]
        def __init__(self, sizeRanges: _Optional[_Iterable[_Union[SizeRange, _Mapping]]] = ...) -> None: ...
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    ENUMERATEDSHAPES_FIELD_NUMBER: _ClassVar[int]
    SHAPERANGE_FIELD_NUMBER: _ClassVar[int]
    INTDEFAULTVALUE_FIELD_NUMBER: _ClassVar[int]
    FLOATDEFAULTVALUE_FIELD_NUMBER: _ClassVar[int]
    DOUBLEDEFAULTVALUE_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    dataType: ArrayFeatureType.ArrayDataType
    enumeratedShapes: ArrayFeatureType.EnumeratedShapes
    shapeRange: ArrayFeatureType.ShapeRange
    intDefaultValue: int
    floatDefaultValue: float
    doubleDefaultValue: float
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., dataType: _Optional[_Union[ArrayFeatureType.ArrayDataType, str]] = ..., enumeratedShapes: _Optional[_Union[ArrayFeatureType.EnumeratedShapes, _Mapping]] = ..., shapeRange: _Optional[_Union[ArrayFeatureType.ShapeRange, _Mapping]] = ..., intDefaultValue: _Optional[int] = ..., floatDefaultValue: _Optional[float] = ..., doubleDefaultValue: _Optional[float] = ...) -> None: ...

class DictionaryFeatureType(_message.Message):
    __slots__ = ("int64KeyType", "stringKeyType")
    INT64KEYTYPE_FIELD_NUMBER: _ClassVar[int]
    STRINGKEYTYPE_FIELD_NUMBER: _ClassVar[int]
    int64KeyType: Int64FeatureType
    stringKeyType: StringFeatureType
    def __init__(self, int64KeyType: _Optional[_Union[Int64FeatureType, _Mapping]] = ..., stringKeyType: _Optional[_Union[StringFeatureType, _Mapping]] = ...) -> None: ...

class SequenceFeatureType(_message.Message):
    __slots__ = ("int64Type", "stringType", "sizeRange")
    INT64TYPE_FIELD_NUMBER: _ClassVar[int]
    STRINGTYPE_FIELD_NUMBER: _ClassVar[int]
    SIZERANGE_FIELD_NUMBER: _ClassVar[int]
    int64Type: Int64FeatureType
    stringType: StringFeatureType
    sizeRange: SizeRange
    def __init__(self, int64Type: _Optional[_Union[Int64FeatureType, _Mapping]] = ..., stringType: _Optional[_Union[StringFeatureType, _Mapping]] = ..., sizeRange: _Optional[_Union[SizeRange, _Mapping]] = ...) -> None: ...

class StateFeatureType(_message.Message):
    __slots__ = ("arrayType",)
    ARRAYTYPE_FIELD_NUMBER: _ClassVar[int]
    arrayType: ArrayFeatureType
    def __init__(self, arrayType: _Optional[_Union[ArrayFeatureType, _Mapping]] = ...) -> None: ...
