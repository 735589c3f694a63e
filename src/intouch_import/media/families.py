"""What may be under an extension of an image, a video or a sound that has no list of kinds of its own.

The extensions are those that a registry calls image, video or audio: mime-db 1.54, shared-mime-info 2.2,
puremagic 2.2 or ExifTool 12.57; and ``.dicom``, which the reference product allows.
"""

from __future__ import annotations

from typing import Final

from intouch_import.media.kinds import Kind

__all__ = ["is_foreign", "is_medium"]

# Two registries agree, and none knows another meaning or a form that is text.
_AGREED: Final = """
3g2 3ga 3gp 3gp2 3gpp 3gpp2 669 aa aac aax ac3 adts ag aif aifc aiff amr ape apng arw au avi avif awb axa
axv bik bmp btf caf cgm cr2 cr3 crw cur dcm dcx dds dib divx djv djvu dng dpx dts dtshd dv dvb dwg exr f4a
f4b f4v flac flc fli flv fpx g3 gif heic heif hif icns ico ief it j2c j2k jfif jls jng jp2 jpc jpe jpeg jpf
jpg jpg2 jpgm jpm jxl jxr jxs jxsc jxsi jxss k25 kar kdc ktx ktx2 lbm lrv m2t m2ts m2v m4a m4b m4v mdi med
mid midi mj2 mjp2 mk3d mka mkv mng mo3 mov movie mp2 mp3 mpe mpeg mpg mpga mrw mtm mts mxf mxmf nef nrw nsv
oga ogg ogm ogv ogx opus orf pcd pct pcx pef pic pict pla png psid qt qtif qtvr ra raf ras raw rgb rmi rv
rw2 rwl s3m sgi sid sk1 smk snd sr2 srf stm sun tga tif tiff tta ult viv vob voc wav wbmp wdp webm webp wma
wmv wvc wvp x3f xcf xi xm xmf xwd
"""
_OTHERS: Final = """
360 3ds 3fr acr adp aiffc amz arq asf ass astc asx avci avcs avf avifs azv b16 bdm bdmv bk2 bpg btif ciff
clpi cmx cpi crm czi dat dc3 dcr dff dic dicm dicom dra drle ds2 dsf dss dxf ecelp4800 ecelp7470 ecelp9600
emf eol eps epsf epsi erf exv f4p fbs fff fh fh4 fh5 fh7 fhc fig fit fits flif flir fpf fst fvt fxm gbr gih
gpr gsm h261 h263 h264 hdp hdr heics heifs hej2 icb iff iiq ilbm insp insv jaii jais jhc jpgv jph jps jpx
jxra jxrs jxsv lfp lfr lif loas lri lvp lwo lwob lws m15 m1u m1v m2a m3a m3u m3u8 m4p m4r m4s m4u mef
minipsf mjpeg mjpg mks mmr mod moov mos mp2a mp4 mp4a mp4v mpa mpc mpg4 mpl mpls mpo mpp mqv mrc msod mxu
npx ora ori pam pat pbm pgf pgm pict1 pict2 pls pmp pnm pntg ppm psd psf psflib psp pspframe pspimage
pspshape psptube pti pya pyv qcp qif qti r3d ram rax rip rlc rle rmp rp rpm rvx rwz seq sil sk smv spx srw
sub svg svgz t38 tap tfx thm tpic ts tub uni uva uvg uvh uvi uvm uvp uvs uvu uvv uvva uvvg uvvh uvvi uvvm
uvvp uvvs uvvu uvvv vda vivo vlc vnt vst vtf wax weba wm wmf wmx wtv wv wvx xbm xdr xhe xif xpm y4m
"""
_BINARY: Final = frozenset(_AGREED.split())
_ANY: Final = frozenset(_OTHERS.split())
_NEVER: Final = frozenset({Kind.EXECUTABLE, Kind.HTML})
_NOT_IN_BINARY: Final = _NEVER | {Kind.TEXT, Kind.XML, Kind.RTF, Kind.PDF}


def is_medium(extension: str, /) -> bool:
    """Return whether an extension, lower case, no dot, is that of an image, a video or a sound."""
    return extension in _BINARY or extension in _ANY


def is_foreign(kind: Kind, extension: str, /) -> bool:
    """Return whether a kind can't be what the extension says: a web page, a program or a letter."""
    return (extension in _ANY and kind in _NEVER) or (extension in _BINARY and kind in _NOT_IN_BINARY)
