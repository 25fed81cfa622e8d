"""Films: decoded frame by frame, handed to a painter, and encoded again.

Sound, subtitles, times and colours stay as they were. This room knows no net: a painter is a function from pixels to
pixels. All but `service.video.encoding` needs PyAV, which has FFmpeg's libraries.
"""
