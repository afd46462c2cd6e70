"""OpenAPI documents of other systems.

`document`  what one says of an operation: address, request, answer, refusals
`schema`    its schemas as JSON Schema
`model`     models that judge by them what crosses, and tell them to the rules
"""
