"""Checks of an operator: is it matched, scaled, centred?"""
