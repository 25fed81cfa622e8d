"""Functions that inspect and make one picture by a runtime, without a server."""

from service.contract.options import Options
from service.pipeline.answer import Answer
from service.pipeline.plan import Plan
from service.pipeline.runtime import Runtime


async def inspect(runtime: Runtime, options: Options, upload: bytes) -> Plan:
    return await runtime.pipeline.inspect(upload, options)


async def make(runtime: Runtime, options: Options, upload: bytes) -> Answer:
    return await runtime.pipeline.make(await inspect(runtime, options, upload))
